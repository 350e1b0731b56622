"""The code of the functions on AWS, as the files that Lambda takes."""
