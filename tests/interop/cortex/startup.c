/* Starts a program on the Cortex-M boards that QEMU knows (mps2); semihosting prints. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

extern uint32_t _data_from, _data, _edata, _bss, _ebss, _stack;
int main(void);
void initialise_monitor_handles(void);

void start(void)
{
#if defined __ARM_FP
  *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20; /* switch the floating-point unit on */
#endif
  memcpy(&_data, &_data_from, (size_t)((char *)&_edata - (char *)&_data));
  memset(&_bss, 0, (size_t)((char *)&_ebss - (char *)&_bss));
  initialise_monitor_handles();
  exit(main());
}

static void fault(void) { exit(99); }

/* The first entry is where the stack begins; the others are functions. */
typedef union {
  void *stack;
  void (*handler)(void);
} vector;

__attribute__((section(".vectors"), used)) static const vector vectors[16] = {
  {&_stack}, {.handler = start}, {.handler = fault}, {.handler = fault},
  {.handler = fault}, {.handler = fault}, {.handler = fault},
};

/* What newlib calls at the end. */
void _fini(void);
void _fini(void) {}
