"""From the bytes of a photo to the scores of its faces. Nothing here knows who asks."""
