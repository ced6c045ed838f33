; run: fuse
graph @g(%x: f32[b,n,n], %k: i64[]) -> (%y, %i, %s) {
  %1 = iota : i64[n]
  %2 = reshape %1 : i64[n,1] from "Trilu"
  %3 = sub %1, %2 : i64[n,n] from "Trilu"
  %4 = less_or_equal %3, %k : bool[n,n] from "Trilu"
  %5 = const 0 : f32[]
  %y = where %4, %x, %5 : f32[b,n,n] from "Trilu"
  %i = iota : i64[b]
  %6 = iota : i64[300]
  %7 = cast %6 : f32[300] from "Cast"
  %s = reduce_sum %7 {axes = [0], keepdims = 1} : f32[1] from "Sum"
}
; --- iota needs no buffer where a loop reads it; as an output it is a kernel
graph @g(%x: f32[b,n,n], %k: i64[]) -> (%y, %i, %s) {
  %4 = kernel %k {class = map} : bool[n,n] from "Trilu"
    graph @map(%2: i64[]) -> (%6 as y0) {
      %3 = iota : i64[n]
      %4 = reshape %3 : i64[n,1]
      %5 = sub %3, %4 : i64[n,n]
      %6 = less_or_equal %5, %2 : bool[n,n]
    }
  %y = kernel %4, %x {class = map} : f32[b,n,n] from "Trilu"
    graph @map(%2: bool[n,n], %3: f32[b,n,n]) -> (%5 as y0) {
      %4 = const 0 : f32[]
      %5 = where %2, %3, %4 : f32[b,n,n]
    }
  %s = kernel {class = reduce} : f32[1] from "Cast", "Sum"
    graph @reduce() -> (%4 as y0) {
      %2 = iota : i64[300]
      %3 = cast %2 : f32[300]
      %4 = reduce_sum %3 {axes = [0]} : f32[1]
    }
  %i = kernel {class = view} : i64[b]
    graph @view() -> (%2 as y0) {
      %2 = iota : i64[b]
    }
}
