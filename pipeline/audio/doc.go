// Package audio holds the sound arithmetic of a pipeline: WAV files, resampling, framing and spectral features.
//
// Samples are float32 in [-1, 1]. Filters and transforms are computed in float64 without fused operations and with this
// package's own sine and cosine, so that the results do not depend on the machine; the mel scale and the logarithm of
// the features come from package math.
//
// Only package pipeline and its callers import it; it knows nothing of models.
package audio
