/* A plug-in of another version: dev.c must refuse it. */
#include "compute/dev_plugin.h"

const struct dev_plugin *radmill_dev_plugin(void);
const struct dev_plugin *radmill_dev_plugin(void)
{
    static const struct dev_plugin other = {.abi = DEV_PLUGIN_ABI + 1};
    return &other;
}
