"""The figures of a period, as people read them: who was asked, who was not, and why."""
