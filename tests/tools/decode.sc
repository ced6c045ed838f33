; the same for a row, which is what most runs are given
graph @decode(%token: f32[1,4]) -> (%sum) {
  state @cache (%past: f32[p,4] up to p = 64 -> %all)
  %w = const [1,10,100,1000] : f32[4]
  %new = mul %token, %w : f32[1,4] from "scale"
  %all = concat %past, %new {axis = 0} : f32[p+1,4] from "append"
  %sum = reduce_sum %all {axes = [0]} : f32[1,4] from "sum"
}
