/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/temp_dir.h"

#include "model/formats/file_map.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAX_FILE_BYTES = 1 << 26 };

static char directory[256];
static char path[512];

int tn_temp_dir_setup(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    (void)snprintf(directory, sizeof(directory), "%s/tenon-test-XXXXXX", base ? base : "/tmp");
    return mkdtemp(directory) ? 0 : -1;
}

int tn_temp_dir_teardown(void **state)
{
    (void)state;
    DIR *dir = opendir(directory);
    if (!dir)
        return -1;
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        (void)unlink(tn_temp_path(entry->d_name)); /* "." and ".." stay */
    (void)closedir(dir);
    return rmdir(directory);
}

const char *tn_temp_path(const char *name)
{
    (void)snprintf(path, sizeof(path), "%s/%.200s", directory, name);
    return path;
}

uint8_t *tn_temp_read(const char *name, size_t *out_n)
{
    char *text = NULL;
    tn_error err;
    if (tn_file_read(tn_temp_path(name), MAX_FILE_BYTES, &text, out_n, &err))
        return NULL;
    return (uint8_t *)text;
}
