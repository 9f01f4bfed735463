"""What the structure of each picture format says before anything is decoded."""
