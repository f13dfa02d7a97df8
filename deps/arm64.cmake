# A build for arm64 on another machine: -DCMAKE_TOOLCHAIN_FILE=deps/arm64.cmake, with Debian's cross compiler
# (crossbuild-essential-arm64) and its libraries of that architecture (dpkg --add-architecture arm64, libuv1-dev:arm64 …).
# What it makes, the unit tests too, runs under qemu-user-static.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_C_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static)
# pkg-config names this machine's libraries else.
set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig)
