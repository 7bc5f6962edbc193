//go:build !linux

package main

func lockHolder(string) string { return "another process" }
