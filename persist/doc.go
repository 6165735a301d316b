// Package persist keeps the items of a store beyond the life of its process.
package persist
