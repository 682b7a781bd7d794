"""From a file to pieces of text, objects, numbers and time stamps, within bounds."""
