; run: raise
; idempotent
; rtol 1e-6
graph @causal(%q: f32[1,2,n,4], %k: f32[1,2,n,4], %v: f32[1,2,n,4], %q3: f32[1,2,3,4], %m: bool[1,1,1,n], %pk: f32[1,2,p,4], %s: f32[1,2,3,4]) -> (%sdpa, %nano, %mask, %padded, %shown, %cache) {
  %b = const 1 : f32[]
  %inf = const -inf : f32[]
  %low = const -3.4028235e+38 : f32[]
  %zero = const 0 : f32[]
  %i = iota {shape = [n]} : i64[n]
  %i.row = reshape %i {shape = [n,1]} : i64[n,1]
  %i.col = reshape %i {shape = [1,n]} : i64[1,n]
  %kt = transpose %k {perm = [0,1,3,2]} : f32[1,2,4,n]
  %p = matmul %q, %kt : f32[1,2,n,n] from "scores"
  %le = less_or_equal %i.col, %i.row : bool[n,n]
  %a1 = where %le, %zero, %inf : f32[n,n]
  %s1 = add %p, %a1 : f32[1,2,n,n] from "sdpa/Add"
  %w1 = softmax %s1, %b {axis = 3} : f32[1,2,n,n]
  %sdpa = matmul %w1, %v : f32[1,2,n,4] from "sdpa/MatMul"
  %tril = const [1,0,0,1,1,0,1,1,1] : f32[1,1,3,3]
  %s3t = transpose %s {perm = [0,1,3,2]} : f32[1,2,4,3]
  %p3 = matmul %q3, %s3t : f32[1,2,3,3] from "scores3"
  %hide = equal %tril, %zero : bool[1,1,3,3]
  %s2 = where %hide, %inf, %p3 : f32[1,2,3,3] from "nano/Where"
  %w2 = softmax %s2, %b {axis = 3} : f32[1,2,3,3]
  %nano = matmul %w2, %s : f32[1,2,3,4] from "nano/MatMul"
  %added = const [0,-3.4028235e+38,-3.4028235e+38,0,0,-3.4028235e+38,0,0,0] : f32[3,3]
  %s4 = add %added, %p3 : f32[1,2,3,3] from "mask/Add"
  %w4 = softmax %s4, %b {axis = 3} : f32[1,2,3,3]
  %mask = matmul %w4, %s : f32[1,2,3,4] from "mask/MatMul"
  %above = greater %i.col, %i.row : bool[n,n]
  %none = not %m : bool[1,1,1,n]
  %either = or %none, %above : bool[1,1,n,n]
  %a5 = where %either, %inf, %zero : f32[1,1,n,n]
  %s5 = add %p, %a5 : f32[1,2,n,n] from "padded/Add"
  %w5 = softmax %s5, %b {axis = 3} : f32[1,2,n,n]
  %padded = matmul %w5, %v : f32[1,2,n,4] from "padded/MatMul"
  %both = and %le, %m : bool[1,1,n,n]
  %s6 = where %both, %p, %low : f32[1,2,n,n] from "shown/Where"
  %w6 = softmax %s6, %b {axis = 3} : f32[1,2,n,n]
  %shown = matmul %w6, %v : f32[1,2,n,4] from "shown/MatMul"
  %keys = concat %pk, %k {axis = 2} : f32[1,2,n+p,4]
  %values = concat %pk, %v {axis = 2} : f32[1,2,n+p,4]
  %all = iota {shape = [n+p]} : i64[n+p]
  %all.col = reshape %all {shape = [1,n+p]} : i64[1,n+p]
  %all.row = reshape %all {shape = [n+p,1]} : i64[n+p,1]
  %tail = slice %all.row {starts = [p], ends = [n+p], axes = [0]} : i64[n,1]
  %keyst = transpose %keys {perm = [0,1,3,2]} : f32[1,2,4,n+p]
  %p7 = matmul %q, %keyst : f32[1,2,n,n+p] from "cache/scores"
  %le7 = greater_or_equal %tail, %all.col : bool[n,n+p]
  %s7 = where %le7, %p7, %inf : f32[1,2,n,n+p] from "cache/Where"
  %w7 = softmax %s7, %b {axis = 3} : f32[1,2,n,n+p]
  %cache = matmul %w7, %values : f32[1,2,n,4] from "cache/MatMul"
}
; --- what is as if it were not there is a diagonal; a finite number beside another mask is not
graph @causal(%q: f32[1,2,n,4], %k: f32[1,2,n,4], %v: f32[1,2,n,4], %q3: f32[1,2,3,4], %m: bool[1,1,1,n], %pk: f32[1,2,p,4], %s: f32[1,2,3,4]) -> (%sdpa, %nano, %nano as mask, %padded, %shown, %cache) {
  %i = iota : i64[n]
  %i.row = reshape %i : i64[n,1]
  %i.col = reshape %i : i64[1,n]
  %le = less_or_equal %i.col, %i.row : bool[n,n]
  %b = const 1 : f32[]
  %sdpa = attention %q, %k, %v, %b {diagonal = [0]} : f32[1,2,n,4] from "sdpa/MatMul", "sdpa/Add", "scores"
  %nano = attention %q3, %s, %s, %b {diagonal = [0]} : f32[1,2,3,4] from "nano/MatMul", "nano/Where", "scores3"
  %zero = const 0 : f32[]
  %inf = const -inf : f32[]
  %18 = where %m, %zero, %inf : f32[1,1,1,n] from "padded/MatMul", "padded/Add", "scores"
  %padded = attention %q, %k, %v, %b, %18 {diagonal = [0]} : f32[1,2,n,4] from "padded/MatMul", "padded/Add", "scores"
  %both = and %le, %m : bool[1,1,n,n]
  %shown = attention %q, %k, %v, %b, _, %both {fill = -3.4028235e+38f} : f32[1,2,n,4] from "shown/MatMul", "shown/Where", "scores"
  %keys = concat %pk, %k {axis = 2} : f32[1,2,n+p,4]
  %values = concat %pk, %v {axis = 2} : f32[1,2,n+p,4]
  %cache = attention %q, %keys, %values, %b {diagonal = [p]} : f32[1,2,n,4] from "cache/MatMul", "cache/Where", "cache/scores"
}
