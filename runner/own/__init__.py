"""Networks and data of the user's own: functions in a file, a module, a notebook."""
