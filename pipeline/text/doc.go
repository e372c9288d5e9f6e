// Package text holds the text arithmetic of a pipeline: greedy CTC decoding, and the tokenizers of language models.
//
// Only package pipeline and its callers import it; it knows nothing of models or files.
package text
