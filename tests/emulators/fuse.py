"""A folder with the rules of FUSE mounts over object storage: no hard links, no appending, no renaming over a file.

A library of C that a process is started with (LD_PRELOAD) answers as JindoFuse and ossfs do (safetensors issues 787,
792, 842) for the folder that FUSE_ROOT names.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int below(const char *path) {
    const char *root = getenv("FUSE_ROOT");
    return root && path && !strncmp(path, root, strlen(root));
}
static int refuse(int number) { errno = number; return -1; }
#define NEXT(name, ...) ((int (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

int link(const char *from, const char *to) {
    return below(to) ? refuse(ENOSYS) : NEXT("link", const char *, const char *)(from, to);
}
int linkat(int a, const char *from, int b, const char *to, int flags) {
    if (below(to)) return refuse(ENOSYS);
    return NEXT("linkat", int, const char *, int, const char *, int)(a, from, b, to, flags);
}
int rename(const char *from, const char *to) {
    if (below(to) && access(to, F_OK) == 0) return refuse(EEXIST);
    return NEXT("rename", const char *, const char *)(from, to);
}
static int opened(const char *name, const char *path, int flags, mode_t mode) {
    if (below(path) && (flags & O_APPEND)) return refuse(EOPNOTSUPP);
    return NEXT(name, const char *, int, ...)(path, flags, mode);
}
int open(const char *path, int flags, ...) {
    va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, mode_t); va_end(rest);
    return opened("open", path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, mode_t); va_end(rest);
    return opened("open64", path, flags, mode);
}
"""


def environment(folder: Path, root: Path) -> dict[str, str]:
    """Variables for a process that shall see `root` so; the library is compiled into `folder`."""
    library = folder / "fuse.so"
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library), "-ldl"]
    subprocess.run(command, input=SOURCE, text=True, check=True)
    return {"LD_PRELOAD": str(library), "FUSE_ROOT": str(root)}
