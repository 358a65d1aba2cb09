"""What one trial is: data, encoders, the contrastive methods, their evaluation."""
