; run: raise
; idempotent
graph @g(%q: f32[1,2,3,4], %k: f32[1,2,4,5], %v: f32[1,2,5,4], %c: bool[3,5], %m: f32[5]) -> (%1, %p, %2, %3, %4) {
  %s = matmul %q, %k : f32[1,2,3,5] from "scores"
  %b = const 1 : f32[]
  %p = softmax %s, %b {axis = 3} : f32[1,2,3,5] from "weights that are an output"
  %1 = matmul %p, %v : f32[1,2,3,4] from "sums"
  %n = softmax %s, %b {axis = 2} : f32[1,2,3,5] from "over the queries"
  %2 = matmul %n, %v : f32[1,2,3,4] from "sums"
  %t = const 2 : f32[]
  %h = softmax %s, %t {axis = 3} : f32[1,2,3,5] from "another temperature"
  %3 = matmul %h, %v : f32[1,2,3,4] from "sums"
  %a = add %s, %m : f32[1,2,3,5] from "added, then masked with a number"
  %f = const -10000 : f32[]
  %w = where %c, %a, %f : f32[1,2,3,5] from "masked"
  %u = softmax %w, %b {axis = 3} : f32[1,2,3,5] from "weights"
  %4 = matmul %u, %v : f32[1,2,3,4] from "sums"
}
; --- nothing is taken apart
graph @g(%q: f32[1,2,3,4], %k: f32[1,2,4,5], %v: f32[1,2,5,4], %c: bool[3,5], %m: f32[5]) -> (%10, %p, %12, %15, %20) {
  %s = matmul %q, %k : f32[1,2,3,5] from "scores"
  %b = const 1 : f32[]
  %p = softmax %s, %b {axis = 3} : f32[1,2,3,5] from "weights that are an output"
  %10 = matmul %p, %v : f32[1,2,3,4] from "sums"
  %n = softmax %s, %b {axis = 2} : f32[1,2,3,5] from "over the queries"
  %12 = matmul %n, %v : f32[1,2,3,4] from "sums"
  %t = const 2 : f32[]
  %h = softmax %s, %t {axis = 3} : f32[1,2,3,5] from "another temperature"
  %15 = matmul %h, %v : f32[1,2,3,4] from "sums"
  %a = add %s, %m : f32[1,2,3,5] from "added, then masked with a number"
  %f = const -10000 : f32[]
  %w = where %c, %a, %f : f32[1,2,3,5] from "masked"
  %u = softmax %w, %b {axis = 3} : f32[1,2,3,5] from "weights"
  %20 = matmul %u, %v : f32[1,2,3,4] from "sums"
}
