"""Images and videos: pixels in and out."""
