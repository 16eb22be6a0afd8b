"""Tables: from any file or frame to the rows of a `Table`, and back."""
