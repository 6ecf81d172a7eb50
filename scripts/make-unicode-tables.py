#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write model/text/template/unicode_tables.h: letter case and printability of characters, as this Python's str has them.

Usage: scripts/make-unicode-tables.py > model/text/template/unicode_tables.h
"""
import sys
import unicodedata

ALL = [c for c in range(0x80, 0x110000) if not 0xD800 <= c < 0xE000]
MAX_COLUMNS = 116


def ranges(code_points):
    """[first, last] of runs."""
    out = []
    for c in code_points:
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def case_rows(convert):
    """Rows (first, last, step, delta) for mappings to one character, and (character, text) for the others."""
    rows, special = [], []
    for c in ALL:
        to = convert(chr(c))
        if to == chr(c):
            continue
        if len(to) > 1:
            special.append((c, to))
            continue
        delta = ord(to) - c
        if rows and rows[-1][3] == delta and c - rows[-1][1] in (1, 2) and rows[-1][2] in (0, c - rows[-1][1]):
            rows[-1][2] = c - rows[-1][1]
            rows[-1][1] = c
        else:
            rows.append([c, c, 0, delta])
    return [(a, b, step or 1, delta) for a, b, step, delta in rows], special


def print_table(kind, name, rows):
    print(f"static const {kind} {name}[] = {{")
    line = "   "
    for row in rows:
        if len(line) + len(row) + 2 > MAX_COLUMNS:
            print(line)
            line = "   "
        line += f" {row},"
    print(f"{line}\n}};\n")


def utf8(text):
    return '"' + "".join(f"\\x{byte:02X}" for byte in text.encode()) + '"'


def main():
    lower, lower_special = case_rows(str.lower)
    upper, upper_special = case_rows(str.upper)
    assert [c for c, _ in lower_special] == [0x130]
    titles = ranges(c for c in ALL if chr(c).title() != chr(c).upper())
    unprintable = ranges(c for c in range(0x80, 0x110000) if not chr(c).isprintable())
    print("/* SPDX-License-Identifier: Apache-2.0 */")
    print(f"/* Unicode {unicodedata.unidata_version}. Made by scripts/make-unicode-tables.py; do not edit. */")
    print("/* clang-format off */\n#ifndef TN_MODEL_TEXT_TEMPLATE_UNICODE_TABLES_H\n#define TN_MODEL_TEXT_TEMPLATE_UNICODE_TABLES_H\n")
    print("#include <stdint.h>\n")
    print("typedef struct tpl_case_row {\n    uint32_t first, last, step;\n    int32_t delta;\n} tpl_case_row;")
    print("typedef struct tpl_case_text {\n    uint32_t from;\n    const char *to;\n} tpl_case_text;")
    print("typedef struct tpl_char_range {\n    uint32_t first, last;\n} tpl_char_range;\n")
    print_table("tpl_case_row", "lower_rows", [f"{{0x{a:X}, 0x{b:X}, {s}, {d}}}" for a, b, s, d in lower])
    print_table("tpl_case_row", "upper_rows", [f"{{0x{a:X}, 0x{b:X}, {s}, {d}}}" for a, b, s, d in upper])
    print_table("tpl_case_text", "upper_texts", [f"{{0x{c:X}, {utf8(t)}}}" for c, t in upper_special])
    print("/* Where title case is not upper case. */")
    print_table("tpl_char_range", "title_differs", [f"{{0x{a:X}, 0x{b:X}}}" for a, b in titles])
    print_table("tpl_char_range", "unprintable", [f"{{0x{a:X}, 0x{b:X}}}" for a, b in unprintable])
    print("#endif")


if __name__ == "__main__":
    sys.exit(main())
