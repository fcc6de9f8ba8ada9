"""`report`: whom the firm asked in a period, whom not, and why."""
