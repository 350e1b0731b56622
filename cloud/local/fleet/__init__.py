"""What stands where the fleet services of AWS IoT Core stand: provisioning, named shadows, jobs, on a private CA."""
