"""Whether broken files, wrong settings, kills and bad disks are survived or named."""
