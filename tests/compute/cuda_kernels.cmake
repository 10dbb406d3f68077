# The CUDA kernels compiled for the CPU, with fibers in place of threads (support/cuda_shim.h): tests of
# lib/compute/cuda/kernels without a GPU and without CUDA. Needs a C++ compiler of the C compiler's make; without one
# these tests are left out, with a message.
include(CheckLanguage)
if(NOT CMAKE_CXX_COMPILER)
  if(CMAKE_C_COMPILER_ID MATCHES "Clang")
    set(CMAKE_CXX_COMPILER clang++)
  else()
    set(CMAKE_CXX_COMPILER g++)
  endif()
endif()
check_language(CXX)
if(NOT CMAKE_CXX_COMPILER)
  message(STATUS "No C++ compiler: the CUDA kernels are not tested on the CPU")
  return()
endif()
enable_language(CXX)

file(GLOB kernels CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/lib/compute/cuda/kernels/*.cu)
add_library(radmill_kernels_shim STATIC ${kernels} ${CMAKE_SOURCE_DIR}/tests/support/cuda_shim.cc)
set_source_files_properties(${kernels} PROPERTIES LANGUAGE CXX)
set_target_properties(radmill_kernels_shim PROPERTIES CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF)
target_include_directories(radmill_kernels_shim PUBLIC ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/lib ${CMAKE_SOURCE_DIR}/tests)
target_compile_definitions(radmill_kernels_shim PRIVATE _GNU_SOURCE KERNEL_SHIM="support/cuda_shim.h")
# As nvcc is told: no fused multiply-add but where it is written. Chunks are read through other types, as CUDA allows.
target_compile_options(radmill_kernels_shim PRIVATE -x c++ -Wall -Wextra -Wno-unknown-pragmas -ffp-contract=off
  -fno-strict-aliasing -fno-math-errno -fno-trapping-math -O2)
if(RADMILL_WERROR)
  target_compile_options(radmill_kernels_shim PRIVATE -Werror)
endif()
if(RADMILL_SANITIZE MATCHES "address")
  target_compile_options(radmill_kernels_shim PRIVATE -fsanitize=${RADMILL_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  target_link_options(radmill_kernels_shim PUBLIC -fsanitize=${RADMILL_SANITIZE})
endif()

# Kernels that are wrong, for the shim's own test.
add_library(radmill_shim_cases STATIC shim_cases.cc)
set_target_properties(radmill_shim_cases PROPERTIES CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF)
target_link_libraries(radmill_shim_cases PUBLIC radmill_kernels_shim)
target_compile_options(radmill_shim_cases PRIVATE $<TARGET_PROPERTY:radmill_kernels_shim,COMPILE_OPTIONS>)
