"""What goes over the wire: frames, streams, codecs, differences, and who is at the other end."""
