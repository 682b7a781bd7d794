"""The page-copy harness: real memory of a real process over a real socket."""
