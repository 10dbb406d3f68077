# Helpers of the build: one library a folder, one test a file.
include(CheckCCompilerFlag)
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# What every target of ours is compiled with.
add_library(radmill_flags INTERFACE)
target_compile_definitions(radmill_flags INTERFACE _GNU_SOURCE)
target_include_directories(radmill_flags INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/lib)
# ffp-contract: a fused multiply-add or none must not depend on the optimiser's mood. trapping and errno of math: never looked at.
target_compile_options(radmill_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wundef
  -Wpointer-arith -Wwrite-strings -Wformat=2 -Wimplicit-fallthrough
  -ffp-contract=off -fno-math-errno -fno-trapping-math)
if(RADMILL_WERROR)
  target_compile_options(radmill_flags INTERFACE -Werror)
endif()
if(RADMILL_FAULTS)
  target_compile_definitions(radmill_flags INTERFACE RADMILL_FAULTS)
endif()
if(RADMILL_SANITIZE)
  target_compile_options(radmill_flags INTERFACE -fsanitize=${RADMILL_SANITIZE}
    -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(radmill_flags INTERFACE -fsanitize=${RADMILL_SANITIZE})
endif()
if(RADMILL_FUZZ)
  target_compile_options(radmill_flags INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(radmill_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# radmill_library(NAME SOURCES a.c ... [USES base comm ...] [LIBS external targets])
# USES mirrors the table of who may include whom; tests/house checks the includes themselves.
function(radmill_library name)
  cmake_parse_arguments(A "" "" "SOURCES;USES;LIBS" ${ARGN})
  add_library(radmill_${name} STATIC ${A_SOURCES})
  set(uses ${A_USES})
  list(TRANSFORM uses PREPEND radmill_)
  target_link_libraries(radmill_${name} PUBLIC radmill_flags ${uses} PRIVATE ${A_LIBS} m
    Threads::Threads)
endfunction()

# radmill_pkg(VAR module): imported target PkgConfig::VAR, or a clear stop.
function(radmill_pkg var module)
  pkg_check_modules(${var} REQUIRED IMPORTED_TARGET GLOBAL ${module})
endfunction()
