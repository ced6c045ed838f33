; branches of unlike sizes, one in a loop
graph @g(%x: f32[4,32], %w: f32[32,32], %m: f32[]) -> (%y, %z) {
  %zero = const 0 : f32[]
  %c = greater %m, %zero : bool[] from "which"
  %k = const 300 : f32[]
  %p = mul %x, %k : f32[4,32] from "large"
  %y = if %c, %p, %w : f32[4,32] from "if"
    graph @then(%p: f32[4,32], %w: f32[32,32]) -> (%r) {
      %r = matmul %p, %w : f32[4,32] from "product"
    }
    graph @else(%p: f32[4,32], %w: f32[32,32]) -> (%r) {
      %s = mul %p, %p : f32[4,32] from "square"
      %one = const 1 : f32[]
      %r = softmax %s, %one {axis = 1} : f32[4,32] from "softmax"
    }
  %t = const 3 : i64[]
  %true = const true : bool[]
  %z = loop %t, %true, %y, %c, %w {carried = 1} : f32[4,32] from "loop"
    graph @body(%i: i64[], %v: f32[4,32], %c: bool[], %w: f32[32,32]) -> (%on, %n) {
      %on = const true : bool[]
      %n = if %c, %v, %w : f32[4,32] from "inner"
        graph @then(%v: f32[4,32], %w: f32[32,32]) -> (%r) {
          %q = matmul %v, %w : f32[4,32] from "inner product"
          %r = tanh %q : f32[4,32] from "inner tanh"
        }
        graph @else(%v: f32[4,32], %w: f32[32,32]) -> (%r) {
          %r = neg %v : f32[4,32] from "inner neg"
        }
    }
}
