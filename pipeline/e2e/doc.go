// Package e2e tests the pipelines on the shared models and data, with the runtime: accuracy on ImageNet and CIFAR pictures, pages
// of text, voice activity, faces, file types. It holds tests only.
package e2e
