; run: raise
; idempotent
graph @g(%x: i32[n,3,1], %i: i64[5,1]) -> (%a, %b) {
  %w = const [1,2,3,4,5,6] : f32[3,2]
  %k = const [0,1,2] : i32[3]
  %1 = equal %x, %k : bool[n,3,3] from "Equal"
  %2 = cast %1 : f32[n,3,3] from "Cast"
  %a = matmul %2, %w : f32[n,3,2] from "MatMul"
  %l = const [0,1,2] : i64[3]
  %one = const 1 : f32[]
  %zero = const 0 : f32[]
  %3 = equal %l, %i : bool[5,3] from "Equal_1"
  %4 = where %3, %one, %zero : f32[5,3] from "OneHot"
  %b = matmul %4, %w : f32[5,2] from "MatMul_1"
}
; --- rows of the table; zeros where there is no such row
graph @g(%x: i32[n,3,1], %i: i64[5,1]) -> (%a, %b) {
  %4 = const 0 : i32[] from "MatMul", "Cast", "Equal"
  %5 = max %x, %4 : i32[n,3,1] from "MatMul", "Cast", "Equal"
  %6 = const 2 : i32[] from "MatMul", "Cast", "Equal"
  %7 = min %5, %6 : i32[n,3,1] from "MatMul", "Cast", "Equal"
  %8 = equal %x, %7 : bool[n,3,1] from "MatMul", "Cast", "Equal"
  %9 = reshape %7 : i32[n,3] from "MatMul", "Cast", "Equal"
  %w = const [1,2,3,4,5,6] : f32[3,2]
  %11 = gather %w, %9 : f32[n,3,2] from "MatMul", "Cast", "Equal"
  %zero = const 0 : f32[] from "MatMul", "Cast", "Equal"
  %a = where %8, %11, %zero : f32[n,3,2] from "MatMul", "Cast", "Equal"
  %14 = const 0 : i64[] from "MatMul_1", "OneHot", "Equal_1"
  %15 = max %i, %14 : i64[5,1] from "MatMul_1", "OneHot", "Equal_1"
  %16 = const 2 : i64[] from "MatMul_1", "OneHot", "Equal_1"
  %17 = min %15, %16 : i64[5,1] from "MatMul_1", "OneHot", "Equal_1"
  %18 = equal %i, %17 : bool[5,1] from "MatMul_1", "OneHot", "Equal_1"
  %19 = reshape %17 : i64[5] from "MatMul_1", "OneHot", "Equal_1"
  %20 = gather %w, %19 : f32[5,2] from "MatMul_1", "OneHot", "Equal_1"
  %b = where %18, %20, %zero : f32[5,2] from "MatMul_1", "OneHot", "Equal_1"
}
