"""`check`: whether everything is in order, from the settings to cron."""
