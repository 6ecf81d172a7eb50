/* SPDX-License-Identifier: Apache-2.0 */
#define _XOPEN_SOURCE 700 /* realpath, S_ISVTX */
#include "core/plugin/loader.h"

#include "core/base/hash.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_NAME_BYTES = 128 };

uint32_t tn_host_sanitizer(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return TN_SANITIZER_ADDRESS;
#elif defined(__SANITIZE_THREAD__)
    return TN_SANITIZER_THREAD;
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer)
    return TN_SANITIZER_ADDRESS;
#    elif __has_feature(thread_sanitizer)
    return TN_SANITIZER_THREAD;
#    else
    return TN_SANITIZER_NONE;
#    endif
#else
    return TN_SANITIZER_NONE;
#endif
}

static tn_status check_name(const char *name, tn_error *err)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t n = strnlen(name, MAX_NAME_BYTES + 1);

    if (n == 0 || n > MAX_NAME_BYTES || name[0] == '.' || strspn(name, allowed) != n)
        return tn_fail(err, TN_INVALID,
                       "\"%.64s\" is not a plugin name: letters, digits, '_', '.' and '-', not "
                       "beginning with '.'; or give an absolute path",
                       name);
    return TN_OK;
}

/* The path that spec asks for; relative paths and names with '/' never get this far. */
static tn_status wanted_path(const tn_plugin_spec *spec, const char *plugin_dir, bool sim,
                             char path[TN_PATH_BYTES], tn_error *err)
{
    int n;

    if (spec->path) {
        if (spec->path[0] != '/')
            return tn_fail(err, TN_INVALID,
                           "plugin path %s is not absolute: give the whole path, or a bare name "
                           "to be found in %s",
                           spec->path, plugin_dir);
        n = snprintf(path, TN_PATH_BYTES, "%s", spec->path);
    } else {
        TN_TRY(check_name(spec->name, err));
        n = snprintf(path, TN_PATH_BYTES, "%s/sim/%s.so", plugin_dir, spec->name);
        if (n < TN_PATH_BYTES && (!sim || access(path, F_OK) != 0))
            n = snprintf(path, TN_PATH_BYTES, "%s/%s.so", plugin_dir, spec->name);
    }
    if (n < 0 || n >= TN_PATH_BYTES)
        return tn_fail(err, TN_INVALID, "the plugin's path is longer than %d bytes",
                       TN_PATH_BYTES - 1);
    return TN_OK;
}

static tn_status check_directory(const char *path, tn_error *err)
{
    char dir[TN_PATH_BYTES];
    struct stat st;

    snprintf(dir, sizeof(dir), "%s", path);
    char *slash = strrchr(dir, '/');
    if (slash)
        slash[slash == dir ? 1 : 0] = '\0';
    if (stat(dir, &st) != 0)
        return tn_fail(err, TN_INVALID, "cannot examine %s: %s", dir, strerror(errno));
    if ((st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX))
        return tn_fail(err, TN_INVALID, "anyone may write to its directory %s: run chmod o-w on it",
                       dir);
    return TN_OK;
}

static tn_status check_file(int fd, const char *path, tn_error *err)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return tn_fail(err, TN_INVALID, "cannot examine %s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return tn_fail(err, TN_INVALID, "%s is not a regular file%s", path,
                       S_ISDIR(st.st_mode) ? " but a directory" : "");
    if (st.st_size == 0)
        return tn_fail(err, TN_INVALID, "%s is empty", path);
    if (st.st_mode & S_IWOTH)
        return tn_fail(err, TN_INVALID, "anyone may write to %s: run chmod o-w on it", path);
    return check_directory(path, err);
}

static bool read_at(int fd, void *out, size_t n, uint64_t offset)
{
    return offset <= INT64_MAX && pread(fd, out, n, (off_t)offset) == (ssize_t)n;
}

/* The dynamic linker maps what the headers promise and dies by SIGBUS behind the end of a file that
 * was cut, by an interrupted copy say. What else is wrong with an ELF file it reports itself. */
static tn_status check_whole(int fd, const char *path, tn_error *err)
{
    Elf64_Ehdr file;
    Elf64_Phdr part;
    struct stat st;

    if (fstat(fd, &st) != 0 || !read_at(fd, &file, sizeof(file), 0) ||
        memcmp(file.e_ident, ELFMAG, SELFMAG) != 0 || file.e_ident[EI_CLASS] != ELFCLASS64)
        return TN_OK;
    for (uint64_t i = 0; i < file.e_phnum; i++) {
        const uint64_t size = (uint64_t)st.st_size;
        const bool there = file.e_phoff <= size &&
                           read_at(fd, &part, sizeof(part), file.e_phoff + i * sizeof(part));
        if (!there || (part.p_type == PT_LOAD &&
                       (part.p_offset > size || part.p_filesz > size - part.p_offset)))
            return tn_fail(err, TN_INVALID, "%s is cut: segment %d ends behind the file's end",
                           path, (int)i);
    }
    return TN_OK;
}

static tn_status check_pin(int fd, const char *path, const char *pin, tn_error *err)
{
    uint8_t bytes[16384];
    char hex[65];
    tn_sha256 hash;
    ssize_t n;

    if (strlen(pin) != 64 || strspn(pin, "0123456789abcdefABCDEF") != 64)
        return tn_fail(err, TN_INVALID, "its sha256 in the profile is not 64 hex digits");
    tn_sha256_init(&hash);
    while ((n = read(fd, bytes, sizeof(bytes))) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return tn_fail(err, TN_INVALID, "cannot read %s: %s", path, strerror(errno));
        tn_sha256_update(&hash, bytes, (size_t)n);
    }
    tn_sha256_hex(&hash, hex);
    if (strcasecmp(hex, pin) != 0)
        return tn_fail(err, TN_INVALID,
                       "its sha256 is %.16s..., the profile demands %.16s...: not the pinned file",
                       hex, pin);
    return TN_OK;
}

/* dlerror names the file, often several times; the entry shows the path already. */
static const char *load_error(const char *path)
{
    const char *text = dlerror();
    size_t n = strlen(path);

    if (!text)
        return "unknown error of the dynamic linker";
    return strncmp(text, path, n) == 0 && strncmp(text + n, ": ", 2) == 0 ? text + n + 2 : text;
}

static tn_status fail_without_symbol(void *library, tn_error *err)
{
    for (int major = 0; major <= 9; major++) {
        char symbol[16];
        snprintf(symbol, sizeof(symbol), "tn_plugin_v%d", major);
        if (dlsym(library, symbol))
            return tn_fail(err, TN_INVALID,
                           "it exports %s, this program speaks v1: use a plugin built for plugin "
                           "ABI 1",
                           symbol);
    }
    return tn_fail(err, TN_INVALID, "it does not export tn_plugin_v1: not a tenon plugin");
}

tn_status tn_library_open(const tn_plugin_spec *spec, const char *plugin_dir, bool sim,
                          char real_path[TN_PATH_BYTES], const tn_plugin **out_raw, tn_error *err)
{
    char path[TN_PATH_BYTES];

    *out_raw = NULL;
    real_path[0] = '\0';
    TN_TRY(wanted_path(spec, plugin_dir, sim, path, err));
    if (!realpath(path, real_path)) {
        real_path[0] = '\0';
        return tn_fail(err, TN_INVALID,
                       "cannot open %s: %s; tenon plugins lists those that are there", path,
                       strerror(errno));
    }
    /* O_NONBLOCK: a FIFO must not make the program wait for a writer. */
    int fd = open(real_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return tn_fail(err, TN_INVALID, "cannot open %s: %s", real_path, strerror(errno));
    tn_status status = check_file(fd, real_path, err);
    if (!status)
        status = check_whole(fd, real_path, err);
    if (!status && spec->sha256)
        status = check_pin(fd, real_path, spec->sha256, err);
    close(fd);
    if (status)
        return status;
    /* NOW: a missing symbol is found here and not in the middle of a step. LOCAL: plugins cannot
     * bind to each other's symbols. */
    void *library = dlopen(real_path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return tn_fail(err, TN_INVALID, "cannot load it: %s", load_error(real_path));
    void *symbol = dlsym(library, "tn_plugin_v1");
    if (!symbol)
        return fail_without_symbol(library, err);
    *out_raw = symbol;
    return TN_OK;
}
