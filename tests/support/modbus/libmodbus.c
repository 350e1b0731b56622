/* A Modbus server on libmodbus: `server tcp PORT` or `server rtu PATH`. Prints "ready" when it can be asked. */
#include <errno.h>
#include <modbus/modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    int is_tcp = strcmp(argv[1], "tcp") == 0;
    modbus_t *context = is_tcp ? modbus_new_tcp("127.0.0.1", atoi(argv[2])) : modbus_new_rtu(argv[2], 115200, 'N', 8, 1);
    modbus_mapping_t *map = modbus_mapping_new(64, 64, 200, 200);
    if (!context || !map) return 1;
    for (int at = 0; at < 200; at++) {
        map->tab_registers[at] = at * 7;
        map->tab_input_registers[at] = at * 11;
    }
    for (int at = 0; at < 64; at++) map->tab_input_bits[at] = at % 2;
    modbus_set_slave(context, 1);
    int listener = -1;
    if (is_tcp) {
        listener = modbus_tcp_listen(context, 1);
        if (listener < 0) return 1;
    } else if (modbus_connect(context) < 0) {
        return 1;
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        unsigned char request[MODBUS_TCP_MAX_ADU_LENGTH];
        if (is_tcp && modbus_tcp_accept(context, &listener) < 0) return 1;
        for (;;) {
            int size = modbus_receive(context, request);
            if (size > 0) {
                modbus_reply(context, request, size, map);
            } else if (size < 0 && is_tcp) {
                modbus_close(context);
                break;
            } else if (size < 0 && errno == EIO) {
                return 0;
            }
        }
    }
}
