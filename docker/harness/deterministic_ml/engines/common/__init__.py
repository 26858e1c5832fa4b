"""What engines share: nothing here imports one."""
