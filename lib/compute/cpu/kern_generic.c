#define KERN_ISA   "generic"
#define KERN_TABLE cpu_kern_generic
#include "compute/cpu/kern_body.h"
