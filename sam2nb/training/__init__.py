"""Train sam2nb_nano from scratch and fine-tune any checkpoint."""
