"""What stands between gateways on this machine and a stack in an emulator of AWS: broker, rules and schedules."""
