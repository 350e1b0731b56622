"""The stack on AWS as code, made from the definitions beside it."""
