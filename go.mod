module github.com/holdfast-cache/holdfast

go 1.26
