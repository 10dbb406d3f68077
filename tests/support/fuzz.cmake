# radmill_fuzz(folder name USES lib ... [LIBS ...] [SOURCES ...]): tests/<folder>/fuzz_<name>.c with
# LLVMFuzzerTestOneInput and a corpus in tests/<folder>/corpus_<name>/. With RADMILL_FUZZ it becomes a
# libFuzzer program (run it by hand: fuzz_<name> SCRATCH_DIR tests/<folder>/corpus_<name>); otherwise an
# ordinary test that replays the corpus, and each file of it mutated with a fixed seed.
function(radmill_fuzz folder name)
  cmake_parse_arguments(A "" "TIMEOUT" "USES;LIBS;SOURCES" ${ARGN})
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 240)
  endif()
  set(uses ${A_USES})
  list(TRANSFORM uses PREPEND radmill_)
  set(corpus ${CMAKE_SOURCE_DIR}/tests/${folder}/corpus_${name})
  add_executable(fuzz_${name} ${CMAKE_SOURCE_DIR}/tests/${folder}/fuzz_${name}.c ${A_SOURCES})
  target_link_libraries(fuzz_${name} PRIVATE radmill_base ${uses} ${A_LIBS} m)
  target_include_directories(fuzz_${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  if(RADMILL_FUZZ)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    add_test(NAME ${folder}.fuzz_${name} COMMAND fuzz_${name} -runs=0 ${corpus})
  else()
    target_sources(fuzz_${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/support/fuzz_main.c)
    add_test(NAME ${folder}.fuzz_${name} COMMAND fuzz_${name} ${corpus})
  endif()
  set_tests_properties(${folder}.fuzz_${name} PROPERTIES LABELS fuzz TIMEOUT ${A_TIMEOUT})
endfunction()
