"""What a training did to its model: measured before its first step and after its last one."""
