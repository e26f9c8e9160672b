/* What exported C needs of it; the functions are linked with the module. */
#ifndef CHAINRULE_STRING_H
#define CHAINRULE_STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memset(void *to, int value, size_t n);
int memcmp(const void *a, const void *b, size_t n);

#endif
