// SPDX-License-Identifier: Apache-2.0
// simt_selftest: runs every case on the device of this build and prints "CASE LANE WORD BITS" for
// each word. Exit 3 when there is no device to run on.
#include "tests/plugins/simt/selftest/cases.h"

#include <cuda_runtime.h>

#include <cstdio>
#include <cstring>
#include <vector>

static uint32_t state;

/* Numerical Recipes, "ranqd1"; the low bits are weak. */
static uint32_t random_bits()
{
    state = state * 1664525u + 1013904223u;
    uint32_t high = state >> 16;
    state = state * 1664525u + 1013904223u;
    return high << 16 | state >> 16;
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* +-2^exponent (1 + mantissa), the exponent in [low, low + n). */
static float random_float(int low, unsigned n)
{
    uint32_t exponent = static_cast<uint32_t>(127 + low) + random_bits() % n;
    uint32_t bits = (random_bits() & 0x807fffffu) | exponent << 23;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

/* In +-[1/64, 64), by the definition of the formats. */
static uint32_t random_half(bool is_bf16)
{
    uint32_t bits = bits_of(random_float(-6, 12));
    if (is_bf16)
        return bits >> 16;
    return (bits >> 16 & 0x8000u) | ((bits >> 23 & 0xffu) - 112u) << 10 | (bits >> 13 & 0x3ffu);
}

static uint32_t random_integer_half(bool is_bf16)
{
    int value = static_cast<int>(random_bits() % 17u) - 8;
    uint32_t bits = bits_of(static_cast<float>(value));
    if (value == 0 || is_bf16)
        return bits >> 16;
    return (bits >> 16 & 0x8000u) | ((bits >> 23 & 0xffu) - 112u) << 10 | (bits >> 13 & 0x3ffu);
}

static uint32_t input_word(enum inputs inputs, int index)
{
    switch (inputs) {
    case any_words:
        return random_bits();
    case f16_pairs:
    case bf16_pairs:
        return random_half(inputs == bf16_pairs) | random_half(inputs == bf16_pairs) << 16;
    case floats:
        return bits_of(random_float(-27, 44));
    case f16_integers:
    case bf16_integers:
        if (index >= 8)
            return bits_of(static_cast<float>(static_cast<int>(random_bits() % 1001u) - 500));
        return random_integer_half(inputs == bf16_integers) |
               random_integer_half(inputs == bf16_integers) << 16;
    }
    return 0;
}

static bool fails(const char *name, const char *what)
{
    if (what)
        std::fprintf(stderr, "simt_selftest: %s: %s\n", name, what);
    return what != nullptr;
}

static bool fails(const char *name, cudaError_t error)
{
    return fails(name, error == cudaSuccess ? nullptr : cudaGetErrorString(error));
}

static bool run_case(const selftest_case &one, uint32_t *in, uint32_t *out)
{
    std::vector<uint32_t> words(LANES * WORDS_IN), got(LANES * WORDS_OUT);
    for (size_t i = 0; i < words.size(); i++)
        words[i] = input_word(one.inputs, static_cast<int>(i % WORDS_IN));
    if (fails(one.name, cudaMemcpy(in, words.data(), words.size() * 4, cudaMemcpyHostToDevice)) ||
        fails(one.name, cudaMemset(out, 0, got.size() * 4)) ||
        fails(one.name, one.launch(in, out)) || fails(one.name, cudaDeviceSynchronize()) ||
        fails(one.name, cudaMemcpy(got.data(), out, got.size() * 4, cudaMemcpyDeviceToHost)))
        return false;
    for (size_t i = 0; i < got.size(); i++)
        std::printf("%s %zu %zu %08x\n", one.name, i / WORDS_OUT, i % WORDS_OUT, got[i]);
    return true;
}

int main()
{
    int n_devices = 0;
    void *in = nullptr, *out = nullptr;
    if (fails("no CUDA device", cudaGetDeviceCount(&n_devices)))
        return 3;
    if (fails("memory", cudaMalloc(&in, LANES * WORDS_IN * 4)) ||
        fails("memory", cudaMalloc(&out, LANES * WORDS_OUT * 4)))
        return 1;
    bool all = true;
    for (const selftest_case *one = selftest_cases; one->name; one++) {
        state = 12345;
        all = run_case(*one, static_cast<uint32_t *>(in), static_cast<uint32_t *>(out)) && all;
    }
    cudaFree(in);
    cudaFree(out);
    return all ? 0 : 1;
}
