"""What a firm's partners read: whom it asked in a period, whom not, and why."""
