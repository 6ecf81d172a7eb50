/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/shared_object.h"

#include "core/base/alloc.h"
#include "model/formats/file_map.h"

#include <elf.h>
#include <string.h>

static const size_t max_file_bytes = (size_t)1 << 31; /* CUDA plugins carry code for many devices */
enum {
    MAX_SYMBOLS = 1 << 18,
    MAX_DYNAMIC = 1 << 12,
    MAX_SEGMENTS = 256,
    MAX_VERSIONS = 512,
    MAX_NAME = 4096
};

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
enum { THIS_ORDER = ELFDATA2LSB };
#else
enum { THIS_ORDER = ELFDATA2MSB };
#endif

/* The file, and the entries of its dynamic section that are of interest: addresses, 0 when absent.
 */
typedef struct reader {
    const uint8_t *bytes;
    size_t n;
    const char *name;
    Elf64_Ehdr file;
    uint64_t strings, n_strings, symbols, hash, gnu_hash, versions, needs, n_needs;
    uint64_t dynamic_offset, n_dynamic;
    tn_shared_object *out;
} reader;

static tn_status fail(const reader *r, const char *what, tn_error *err)
{
    return tn_fail(err, TN_INVALID, "%s: %s", r->name, what);
}

static tn_status fail_outside(const reader *r, const char *what, tn_error *err)
{
    return tn_fail(err, TN_INVALID, "%s: its %s lies outside of the file", r->name, what);
}

static bool copy_at(const reader *r, uint64_t offset, void *to, size_t n)
{
    if (offset > r->n || n > r->n - offset)
        return false;
    memcpy(to, r->bytes + offset, n);
    return true;
}

static bool segment(const reader *r, uint64_t i, Elf64_Phdr *out)
{
    const uint64_t at = i * sizeof *out; /* i < MAX_SEGMENTS */
    return r->file.e_phoff <= r->n && copy_at(r, r->file.e_phoff + at, out, sizeof *out);
}

/* Bytes [address, address + n) of the loaded image, as far as they are in the file. */
static const uint8_t *image(const reader *r, uint64_t address, uint64_t n)
{
    Elf64_Phdr s;
    for (uint64_t i = 0; i < r->file.e_phnum; i++) {
        if (!segment(r, i, &s) || s.p_type != PT_LOAD || address < s.p_vaddr)
            continue;
        const uint64_t at = address - s.p_vaddr;
        if (at > s.p_filesz || n > s.p_filesz - at || s.p_offset > r->n || at > r->n - s.p_offset ||
            n > r->n - s.p_offset - at)
            continue;
        return r->bytes + s.p_offset + at;
    }
    return NULL;
}

static bool copy_image(const reader *r, uint64_t address, uint64_t index, void *to, size_t n)
{
    if (index > UINT32_MAX || address > UINT64_MAX - index * n)
        return false;
    const uint8_t *from = image(r, address + index * n, n);
    if (from)
        memcpy(to, from, n);
    return from != NULL;
}

/* A string of the string table, copied; NULL when it does not end inside of it, is longer than any
 * name, or memory is short. */
static const char *string_at(const reader *r, uint64_t offset)
{
    if (offset >= r->n_strings)
        return NULL;
    const uint8_t *text = image(r, r->strings, r->n_strings);
    const uint64_t left = r->n_strings - offset;
    if (!text || !memchr(text + offset, 0, (size_t)(left < MAX_NAME ? left : MAX_NAME)))
        return NULL;
    return tn_arena_strdup(&r->out->arena, (const char *)text + offset);
}

/* ---- headers ---- */

static tn_status read_header(reader *r, tn_error *err)
{
    if (!copy_at(r, 0, &r->file, sizeof r->file) || memcmp(r->file.e_ident, ELFMAG, SELFMAG) != 0)
        return fail(r, "not a shared library (no ELF header)", err);
    if (r->file.e_ident[EI_CLASS] != ELFCLASS64 || r->file.e_ident[EI_DATA] != THIS_ORDER)
        return fail(r, "a shared library of another kind of machine", err);
    if (r->file.e_type != ET_DYN)
        return fail(r, "an ELF file, but not a shared library", err);
    if (r->file.e_phnum > MAX_SEGMENTS || r->file.e_phentsize != sizeof(Elf64_Phdr))
        return fail(r, "it has a program header table of no known form", err);
    return TN_OK;
}

static tn_status read_segments(reader *r, tn_error *err)
{
    Elf64_Phdr s;
    bool has_stack = false;
    for (uint64_t i = 0; i < r->file.e_phnum; i++) {
        if (!segment(r, i, &s))
            return fail_outside(r, "program header table", err);
        if (s.p_type == PT_GNU_STACK) {
            has_stack = true;
            r->out->executable_stack = (s.p_flags & PF_X) != 0;
        }
        if (s.p_type == PT_DYNAMIC) {
            r->dynamic_offset = s.p_offset;
            r->n_dynamic = s.p_filesz / sizeof(Elf64_Dyn);
        }
    }
    r->out->executable_stack |= !has_stack; /* what the linker assumes of old objects */
    if (r->n_dynamic == 0)
        return fail(r, "it has no dynamic section", err);
    if (r->n_dynamic > MAX_DYNAMIC)
        return fail(r, "its dynamic section is too long", err);
    return TN_OK;
}

static void note_entry(reader *r, const Elf64_Dyn *d)
{
    switch (d->d_tag) {
    case DT_STRTAB:
        r->strings = d->d_un.d_ptr;
        break;
    case DT_STRSZ:
        r->n_strings = d->d_un.d_val;
        break;
    case DT_SYMTAB:
        r->symbols = d->d_un.d_ptr;
        break;
    case DT_HASH:
        r->hash = d->d_un.d_ptr;
        break;
    case DT_GNU_HASH:
        r->gnu_hash = d->d_un.d_ptr;
        break;
    case DT_VERSYM:
        r->versions = d->d_un.d_ptr;
        break;
    case DT_VERNEED:
        r->needs = d->d_un.d_ptr;
        break;
    case DT_VERNEEDNUM:
        r->n_needs = d->d_un.d_val;
        break;
    case DT_NEEDED:
        r->out->n_needed++;
        break;
    case DT_TEXTREL:
        r->out->text_relocations = true;
        break;
    case DT_FLAGS:
        r->out->text_relocations |= (d->d_un.d_val & DF_TEXTREL) != 0;
        break;
    default:
        break;
    }
}

static bool entry(const reader *r, uint64_t i, Elf64_Dyn *out)
{
    return r->dynamic_offset <= r->n &&
           copy_at(r, r->dynamic_offset + i * sizeof *out, out, sizeof *out);
}

static tn_status read_dynamic(reader *r, tn_error *err)
{
    Elf64_Dyn d = { 0 };
    tn_shared_object *out = r->out;
    for (uint64_t i = 0; i < r->n_dynamic; i++) {
        if (!entry(r, i, &d))
            return fail_outside(r, "dynamic section", err);
        if (d.d_tag == DT_NULL)
            break;
        note_entry(r, &d);
    }
    if (!r->symbols || !r->n_strings || !image(r, r->strings, r->n_strings))
        return fail_outside(r, "symbol or string table", err);
    out->has_versions = r->versions != 0;
    out->needed = tn_arena_alloc(&out->arena, ((size_t)out->n_needed + 1) * sizeof *out->needed);
    if (!out->needed)
        return tn_fail_memory(err, "the list of libraries");
    int32_t n = 0;
    for (uint64_t i = 0; i < r->n_dynamic && entry(r, i, &d) && d.d_tag != DT_NULL; i++) {
        if (d.d_tag != DT_NEEDED)
            continue;
        out->needed[n] = string_at(r, d.d_un.d_val);
        if (!out->needed[n++])
            return fail_outside(r, "list of needed libraries", err);
    }
    return TN_OK;
}

/* ---- symbols ---- */

/* Symbols of a GNU hash table: the end of the chain that begins last. */
static bool count_gnu(const reader *r, uint64_t *n)
{
    uint32_t header[4], bucket, chain, last = 0; /* buckets, first symbol, words of the filter */
    if (!copy_image(r, r->gnu_hash, 0, header, sizeof header) || header[0] > MAX_SYMBOLS ||
        header[1] > MAX_SYMBOLS || header[2] > MAX_SYMBOLS)
        return false;
    const uint64_t buckets = r->gnu_hash + sizeof header + 8 * (uint64_t)header[2];
    const uint64_t chains = buckets + 4 * (uint64_t)header[0];
    for (uint32_t i = 0; i < header[0]; i++) {
        if (!copy_image(r, buckets, i, &bucket, sizeof bucket))
            return false;
        last = bucket > last ? bucket : last;
    }
    *n = header[1];
    if (last < header[1])
        return true; /* nothing is exported */
    do {
        if (last > MAX_SYMBOLS || !copy_image(r, chains, last - header[1], &chain, sizeof chain))
            return false;
        last++;
    } while (!(chain & 1u));
    *n = last;
    return true;
}

static tn_status count_symbols(const reader *r, uint64_t *n, tn_error *err)
{
    uint32_t header[2] = { 0 }; /* buckets, chains: one a symbol */
    *n = 0;
    if (r->gnu_hash ? !count_gnu(r, n)
                    : !r->hash || !copy_image(r, r->hash, 0, header, sizeof header))
        return fail_outside(r, "hash table of symbols", err);
    if (!r->gnu_hash)
        *n = header[1];
    if (*n > MAX_SYMBOLS)
        return fail(r, "it has too many symbols", err);
    return TN_OK;
}

/* The needed file that a version index belongs to; "" for none. */
static tn_status library_of(const reader *r, uint16_t version, const char **out, tn_error *err)
{
    Elf64_Verneed need;
    Elf64_Vernaux aux;
    uint64_t at = r->needs;
    uint32_t steps = 0;
    *out = "";
    if (version <= VER_NDX_GLOBAL)
        return TN_OK;
    for (uint64_t i = 0; i < r->n_needs; i++) {
        if (!copy_image(r, at, 0, &need, sizeof need))
            return fail_outside(r, "list of symbol versions", err);
        uint64_t aux_at = at + need.vn_aux;
        for (uint16_t k = 0; k < need.vn_cnt; k++) {
            if (++steps > MAX_VERSIONS || !copy_image(r, aux_at, 0, &aux, sizeof aux))
                return fail_outside(r, "list of symbol versions", err);
            if ((aux.vna_other & 0x7fff) == version) {
                *out = string_at(r, need.vn_file);
                return *out ? TN_OK : fail_outside(r, "list of symbol versions", err);
            }
            aux_at += aux.vna_next;
        }
        if (need.vn_next == 0 || ++steps > MAX_VERSIONS)
            break;
        at += need.vn_next;
    }
    return TN_OK;
}

static tn_status add_symbol(reader *r, uint64_t i, const Elf64_Sym *s, tn_error *err)
{
    tn_shared_object *out = r->out;
    const unsigned bind = ELF64_ST_BIND(s->st_info);
    const bool hidden = ELF64_ST_VISIBILITY(s->st_other) == STV_HIDDEN ||
                        ELF64_ST_VISIBILITY(s->st_other) == STV_INTERNAL;
    tn_shared_symbol symbol = { .library = "", .weak = bind == STB_WEAK };
    uint16_t version = VER_NDX_LOCAL;
    if ((bind != STB_GLOBAL && bind != STB_WEAK && bind != STB_GNU_UNIQUE) || hidden)
        return TN_OK;
    symbol.name = string_at(r, s->st_name);
    if (!symbol.name)
        return fail_outside(r, "name of a symbol", err);
    if (s->st_shndx != SHN_UNDEF) {
        out->exported[out->n_exported++] = symbol;
        return TN_OK;
    }
    if (r->versions && !copy_image(r, r->versions, i, &version, sizeof version))
        return fail_outside(r, "list of symbol versions", err);
    TN_TRY(library_of(r, version & 0x7fff, &symbol.library, err));
    out->undefined[out->n_undefined++] = symbol;
    return TN_OK;
}

static tn_status read_symbols(reader *r, tn_error *err)
{
    tn_shared_object *out = r->out;
    Elf64_Sym s;
    uint64_t n;
    TN_TRY(count_symbols(r, &n, err));
    if (n * sizeof s > r->n)
        return fail_outside(r, "symbol table", err);
    out->exported = tn_arena_alloc(&out->arena, ((size_t)n + 1) * sizeof *out->exported);
    out->undefined = tn_arena_alloc(&out->arena, ((size_t)n + 1) * sizeof *out->undefined);
    if (!out->exported || !out->undefined)
        return tn_fail_memory(err, "the symbols");
    for (uint64_t i = 1; i < n; i++) { /* symbol 0 is none */
        if (!copy_image(r, r->symbols, i, &s, sizeof s))
            return fail_outside(r, "symbol table", err);
        TN_TRY(add_symbol(r, i, &s, err));
    }
    return TN_OK;
}

tn_status tn_shared_object_parse(const void *bytes, size_t n, const char *name,
                                 tn_shared_object *out, tn_error *err)
{
    reader r = { .bytes = bytes, .n = n, .name = name, .out = out };
    *out = (tn_shared_object){ 0 };
    tn_status status = read_header(&r, err);
    if (!status)
        status = read_segments(&r, err);
    if (!status)
        status = read_dynamic(&r, err);
    if (!status)
        status = read_symbols(&r, err);
    if (status)
        tn_shared_object_deinit(out);
    return status;
}

tn_status tn_shared_object_read(const char *path, tn_shared_object *out, tn_error *err)
{
    char *bytes;
    size_t n;
    *out = (tn_shared_object){ 0 };
    TN_TRY(tn_file_read(path, max_file_bytes, &bytes, &n, err));
    const tn_status status = tn_shared_object_parse(bytes, n, path, out, err);
    tn_free(bytes);
    return status;
}

void tn_shared_object_deinit(tn_shared_object *so)
{
    tn_arena_deinit(&so->arena);
    *so = (tn_shared_object){ 0 };
}
