/* What this machine can do at most: multiply-adds in registers, and copies of memory. */
#include <string.h>

#if defined(__AVX512F__)
enum { WIDTH = 64, CHAINS = 24 };
#elif defined(__AVX__)
enum { WIDTH = 32, CHAINS = 12 };
#else
enum { WIDTH = 16, CHAINS = 24 };
#endif
typedef float vector __attribute__((vector_size(WIDTH)));

/* Does rounds · CHAINS independent vector operations x·a + b; returns how many FLOPs these were. */
double fma_loop(long rounds, float *result) {
  vector x[CHAINS], a = {0}, b = {0};
  a += 0.5f;
  b += 0.5f;
  for (int i = 0; i < CHAINS; i++) x[i] = a * (float)i;
  for (long n = 0; n < rounds; n++) {
#pragma GCC unroll 24
    for (int i = 0; i < CHAINS; i++) x[i] = x[i] * a + b;
  }
  for (int i = 1; i < CHAINS; i++) x[0] += x[i];
  memcpy(result, &x[0], sizeof(float));
  return 2.0 * (double)rounds * CHAINS * (WIDTH / sizeof(float));
}

/* Copies; returns how many bytes were read and written. */
double copy(long rounds, void *to, const void *from, long bytes) {
  for (long n = 0; n < rounds; n++) {
    memcpy(to, from, (size_t)bytes);
    __asm__ volatile("" ::: "memory");
  }
  return 2.0 * (double)rounds * (double)bytes;
}
