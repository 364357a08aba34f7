"""Balance classes by SMOTE or oversampling of training rows; each synthetic row records its parents."""
