"""The lab kernel: Linux as User-Mode Linux, an ordinary process in virtual time."""
