"""The data engine: sources, teacher, cut-outs, composed images and clips, batches."""
