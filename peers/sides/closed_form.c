/* The limit on (a) and (b): the estimators' closed forms in one loop, with a generator that vectorises.
   Each function fills the sums of G estimates and of their squares, [P] each. xorshift (Marsaglia 2003) in independent
   lanes; normals by Box and Muller 1958; both vectorised by the compiler. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#define LANES 64
#define BITS 200
#define DRAWS 4
#define SIZE 100

static uint32_t state[LANES];

void seed(uint64_t s) {
    for (int i = 0; i < LANES; i++) { /* splitmix64 (Steele, Lea, Flood 2014) */
        uint64_t z = (s += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        state[i] = (uint32_t)(z ^ (z >> 31)) | 1u;
    }
}

static inline void numbers(uint32_t *out, int n) { /* n is a multiple of LANES */
    for (int at = 0; at < n; at += LANES)
        for (int i = 0; i < LANES; i++) {
            uint32_t x = state[i];
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            out[at + i] = state[i] = x;
        }
}

/* REINFORCE or leave-one-out of mean((b - t)^2) with DRAWS draws of BITS bits, in the logits. */
void bits(const float *p, float t, int leave_one_out, int G, float *sum, float *square) {
    uint32_t draw[1024], below[BITS]; /* 800 rounded up to a multiple of LANES */
    for (int d = 0; d < BITS; d++) below[d] = (uint32_t)(p[d] * 4294967040.0f);
    memset(sum, 0, BITS * sizeof(float));
    memset(square, 0, BITS * sizeof(float));
    for (int g = 0; g < G; g++) {
        float c[DRAWS], total = 0.0f;
        numbers(draw, 832);
        for (int k = 0; k < DRAWS; k++) {
            int ones = 0;
            for (int d = 0; d < BITS; d++) ones += draw[k * BITS + d] < below[d];
            c[k] = (ones * (1 - t) * (1 - t) + (BITS - ones) * t * t) / BITS;
            total += c[k];
        }
        float shift = 0.0f;
        for (int k = 0; k < DRAWS; k++) {
            c[k] = (leave_one_out ? c[k] - (total - c[k]) / (DRAWS - 1) : c[k]) / DRAWS;
            shift += c[k];
        }
        for (int d = 0; d < BITS; d++) {
            float x = -shift * p[d];
            for (int k = 0; k < DRAWS; k++) x += draw[k * BITS + d] < below[d] ? c[k] : 0.0f;
            sum[d] += x;
            square[d] += x * x;
        }
    }
}

static inline void normals(float *out) { /* 128 of them */
    uint32_t draw[128];
    float radius[64], angle[64];
    numbers(draw, 128);
    for (int i = 0; i < 64; i++) {
        radius[i] = sqrtf(-2.0f * logf(((draw[i] >> 8) + 0.5f) * 0x1p-24f));
        angle[i] = (int32_t)(draw[64 + i] >> 8) * (6.2831853f * 0x1p-24f);
    }
    /* Apart, as sine and cosine of one angle become one call, which has no vector form. */
    for (int i = 0; i < 64; i++) out[i] = radius[i] * cosf(angle[i]);
    for (int i = 0; i < 64; i++) out[64 + i] = radius[i] * sinf(angle[i]);
}

/* One draw of the sum of (z - 1)^2 in loc and log scale of SIZE Normals: by the score, or along the path. */
void quadratic(const float *loc, const float *scale, int path, int G, float *sum, float *square) {
    float noise[128];
    memset(sum, 0, 2 * SIZE * sizeof(float));
    memset(square, 0, 2 * SIZE * sizeof(float));
    for (int g = 0; g < G; g++) {
        float f = 0.0f;
        normals(noise);
        for (int d = 0; d < SIZE; d++) {
            float z = loc[d] + scale[d] * noise[d] - 1.0f;
            f += z * z;
        }
        for (int d = 0; d < SIZE; d++) {
            float e = noise[d], slope = 2.0f * (loc[d] + scale[d] * e - 1.0f);
            float x = path ? slope : f * e / scale[d], y = path ? slope * scale[d] * e : f * (e * e - 1.0f);
            sum[d] += x;
            square[d] += x * x;
            sum[SIZE + d] += y;
            square[SIZE + d] += y * y;
        }
    }
}
