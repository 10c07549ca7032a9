"""Images as arrays: data sets on disk, augmentation, crops."""
